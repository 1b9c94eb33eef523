-- Draws calls from a label's quota of a day, or gives some back that were not made.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 label; 3 utc_day | rolling24h (draw) or return; 4 calls; 5 the cap (draw), or when they were
--          drawn (return)
-- replies  draw: {now, granted, used in the window with these, the oldest hour in it with calls or ''}; return: {0}
-- keeps    used never grows past the cap by a draw; an hour's calls are never fewer than none; an hour is kept 49 hours,
--          more than any window needs, and with no call in that time the whole key is gone by itself
local HOUR, DAY = 3600000, 86400000
local KEPT = 49 * HOUR
local key, what, calls = base .. ':quota:' .. ARGV[2], ARGV[3], tonumber(ARGV[4])
local function hour_of(at) return floor(at / HOUR) * HOUR end

if what == 'return' then
  local hour = format('%d', hour_of(tonumber(ARGV[5])))
  local drawn = tonumber(call('HGET', key, hour) or 0)
  if drawn > calls then
    call('HSET', key, hour, format('%d', drawn - calls))
  else
    call('HDEL', key, hour)
  end
  return { 0 }
end

local begins = what == 'utc_day' and floor(now / DAY) * DAY or hour_of(now) - DAY
local used, oldest, kept = 0, nil, call('HGETALL', key)
for i = 1, #kept, 2 do
  local hour, drawn = tonumber(kept[i]), tonumber(kept[i + 1])
  if hour >= begins then
    used = used + drawn
    oldest = min(hour, oldest or hour)
  elseif hour + KEPT <= now then
    call('HDEL', key, kept[i])
  end
end
local granted = max(0, min(calls, tonumber(ARGV[5]) - used))
if granted > 0 then
  oldest = min(hour_of(now), oldest or now)
  call('HINCRBY', key, format('%d', hour_of(now)), format('%d', granted))
  call('PEXPIRE', key, KEPT)
end
return { now, granted, used + granted, oldest and format('%d', oldest) or '' }
