-- allow-oom
-- Holds an account, or releases it.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 the hold in JSON, or '' to release; 3 its end in ms, or '' for none
-- replies  {0}; {1} where there was nothing to release
-- keeps    a hold whose end has passed is none
if ARGV[2] ~= '' then
  call('HSET', base, 'hold', ARGV[2], 'hold_until', ARGV[3])
  return { 0 }
end
local held = call('HMGET', base, 'hold', 'hold_until')
call('HDEL', base, 'hold', 'hold_until')
wake()
if held[1] and (held[2] == '' or tonumber(held[2]) > now) then return { 0 } end
return { 1 }
