-- allow-oom
-- Ends the rest of a run: nothing more is leased of it, and the next jobs that no worker holds get the outcome of the ending.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 how many jobs, at most 500; 4 what they get: letter FS code FS message; 5 the ending in JSON
-- replies  {0, jobs without an outcome, of them in flight}; {NO_RUN}; {WRONG_PHASE, phase} where it finished
-- keeps    a job that a worker holds gets the outcome its worker reports; the first ending stands, for whatever jobs come
--          back later, too
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
if run.phase == 'c' then return { 0, 0, 0 } end
if run.phase == 'f' then return { WRONG_PHASE, run.phase } end
if not run.cancelled then
  withdraw(run)
  set(run, 'cancelled', true)
  call('HSET', run.key, 'steward_until', 0, 'ending', ARGV[4], 'note_ending', ARGV[5])
end
local limit = tonumber(ARGV[3])
local seqs = {}
local function gather(list, step)
  for i = 1, #list, step do seqs[#seqs + 1] = list[i] end
end
gather(call('ZPOPMIN', run.key .. ':again', limit), 2)
if #seqs < limit then gather(call('LPOP', run.key .. ':ready', limit - #seqs) or {}, 1) end
if #seqs < limit then gather(call('ZPOPMIN', run.key .. ':alone', limit - #seqs), 2) end
if #seqs < limit then gather(call('ZPOPMIN', run.key .. ':wait', limit - #seqs), 2) end
local queued = #seqs
local found, tries = records(run, seqs), tries_of(run, seqs)
for i = 1, queued do cancel_job(run, seqs[i], found[i], '', 0, tries[i]) end
add(run, 'queued', -queued)
local pending, unleased, last = next_pending(run, limit - queued)
tries = tries_of(run, pending)
for i = 1, #pending do cancel_job(run, pending[i], unleased[i], '', 0, tries[i]) end
add(run, 'pending', -#pending)
add(run, 'cursor', last - run.cursor)
save_jobs()
save_runs()
return { 0, run.total - run.done, run.leased }
