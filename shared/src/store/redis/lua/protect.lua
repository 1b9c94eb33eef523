-- Adds to an account's list of protected users, takes an entry off it, or tells it.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; nothing more to be told; else 2 pattern, 3 the entry in JSON, or '' to take it off
-- replies  to be told: {0, version, entry...}; else {0}; {1} where there was nothing to take off
-- keeps    protections in the account's hash, the list's version, grows with each change: a lease tells it
if not ARGV[2] then
  local reply, list = { 0, call('HGET', base, 'protections') or 0 }, call('HGETALL', base .. ':protected')
  for i = 2, #list, 2 do reply[#reply + 1] = list[i] end
  return reply
end
local pattern, entry = ARGV[2], ARGV[3]
if entry == '' then
  if call('HDEL', base .. ':protected', pattern) == 0 then return { 1 } end
else
  call('HSET', base .. ':protected', pattern, entry)
end
call('HINCRBY', base, 'protections', 1)
return { 0 }
