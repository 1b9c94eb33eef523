-- Keeps what a worker tells of an account, or tells what all of them told last.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; to tell: 2 worker, 3 its pulse in JSON, 4 for how long in ms
-- replies  to tell: {0}; to ask: {0, pulse...}
-- keeps    a pulse counts until its time has passed; what has lapsed goes at the next telling, and all of it by
--          itself within a minute of the last
local pulses, ends = base .. ':pulses', base .. ':pulse_ends'
if not ARGV[2] then
  local workers = call('ZRANGEBYSCORE', ends, '(' .. format('%d', now), '+inf')
  local reply = { 0 }
  -- In parts, for unpack takes no more than some thousands.
  for first = 1, #workers, CHUNK do
    local told = call('HMGET', pulses, unpack(workers, first, min(#workers, first + CHUNK - 1)))
    for i = 1, #told do
      if told[i] then reply[#reply + 1] = told[i] end
    end
  end
  return reply
end
local lapsed = call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, CHUNK)
if #lapsed > 0 then
  call('ZREM', ends, unpack(lapsed))
  call('HDEL', pulses, unpack(lapsed))
end
local lasts = tonumber(ARGV[4])
call('ZADD', ends, now + lasts, ARGV[2])
call('HSET', pulses, ARGV[2], ARGV[3])
call('PEXPIRE', ends, lasts + 55000)
call('PEXPIRE', pulses, lasts + 55000)
return { 0 }
