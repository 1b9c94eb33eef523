-- allow-oom
-- Lengthens a lease.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 the lease as it stands in leases; 3 ttl in ms
-- replies  {now}; {LAPSED}
-- keeps    a lease that has lapsed stays lapsed
local ends = call('ZSCORE', base .. ':leases', ARGV[2])
if not ends or tonumber(ends) <= now then return { LAPSED } end
call('ZADD', base .. ':leases', 'XX', now + tonumber(ARGV[3]), ARGV[2])
return { now }
