-- Adds requests to an open run.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 the first one's place; 4.. request parts of records, at most 500
-- replies  {0}; {NO_RUN}; {WRONG_PHASE, phase} where it is no longer open
-- keeps    a place that is taken keeps what it has; appended counts places taken, next is one past the last
local run = load_run(ARGV[2])
if not run then return { NO_RUN } end
if run.phase ~= 'o' then return { WRONG_PHASE, run.phase } end
local first, n, added = tonumber(ARGV[3]), #ARGV - 3, 0
if n > 0 and first >= run.next then
  -- Past everything there is: all new, a page at a time.
  for i = 1, n do put(run, first + i - 1, ARGV[3 + i]) end
  save_jobs()
  added = n
else
  for i = 1, n do
    local seq = first + i - 1
    added = added + call('HSETNX', page_key(run, seq), seq, ARGV[3 + i])
  end
end
add(run, 'appended', added)
if n > 0 then add(run, 'next', max(0, first + n - run.next)) end
save_runs()
call('ZADD', base .. ':open', now, run.id)
return { 0 }
