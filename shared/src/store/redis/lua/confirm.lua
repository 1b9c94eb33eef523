-- A person lets a resolved run go on: noted, the run numbered anew, and its users to be resolved again before it is admitted.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 go | approval; 4 the note in JSON
-- replies  {0}, also where this very note is there already; {NO_RUN}; {WRONG_PHASE, phase}
-- keeps    numbers rise with each decision, so that the newest one wins; whoever resolves it just now has lost the right to, for
--          part of what he knows is from before; `numbers` has those under which it was admitted before (reopen.lua)
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
local field = 'note_' .. ARGV[3]
-- Sent again after its reply was lost, it changes nothing, whatever came of it meanwhile.
if call('HGET', run.key, field) == ARGV[4] then return { 0 } end
if run.phase ~= 'r' or run.cancelled then return { WRONG_PHASE, run.phase } end
if run.adm and call('HGET', base .. ':admissions', run.adm) == run.id then
  call('HSET', run.key, 'numbers', (call('HGET', run.key, 'numbers') or '') .. run.adm .. ' ')
end
set(run, 'adm', call('HINCRBY', base, 'admission', 1))
run.fresh = 0
call('HDEL', run.key, 'fresh')
call('HSET', run.key, field, ARGV[4], 'steward_until', 0)
save_runs()
wake()
return { 0 }
