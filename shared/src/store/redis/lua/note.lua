-- Writes a note on a run, in place of the one of its kind; or takes it away.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 plan | held; 4 the note in JSON, or ''
-- replies  {0}; {NO_RUN}; {WRONG_PHASE, phase} once the run is over
-- keeps    nothing is noted on a run that is over
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
if is_over(run) then return { WRONG_PHASE, run.phase } end
local field = 'note_' .. ARGV[3]
if ARGV[4] == '' then call('HDEL', run.key, field) else call('HSET', run.key, field, ARGV[4]) end
return { 0 }
