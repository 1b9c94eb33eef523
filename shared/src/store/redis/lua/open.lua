-- Opens a run: invisible to all but its producer.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 rank of its priority; 4 the run as submitted, in JSON
-- replies  {0}; {TAKEN} where the run id is in use
-- keeps    an open run stands in `open` by its last append, so that what is never sealed can expire
local id = ARGV[2]
if call('EXISTS', run_key(id)) == 1 then return { TAKEN } end
-- First: should the server refuse a step, what is left is forgotten in an hour, and the call can be sent again.
call('ZADD', base .. ':open', now, id)
new_run(id, tonumber(ARGV[3]))
save_runs()
call('HSET', run_key(id), 'meta', ARGV[4])
return { 0 }
