-- allow-oom
-- Lengthens a lease.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 token; 3 ttl in ms
-- replies  {now}; {LAPSED}
-- keeps    a lease that has lapsed stays lapsed
local held = call('HGET', base .. ':held', ARGV[2])
if not held then return { LAPSED } end
local expires, rest = match(held, '^(%d+)(.*)$')
if tonumber(expires) <= now then return { LAPSED } end
local ends = now + tonumber(ARGV[3])
call('ZADD', base .. ':leases', ends, ARGV[2])
call('HSET', base .. ':held', ARGV[2], ends .. rest)
return { now }
