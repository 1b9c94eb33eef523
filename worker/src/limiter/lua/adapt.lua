-- What refusals have taught about the rate: the same rule as adapt.rs, where its constants are explained. Put before the
-- other scripts, which share the label's state:
--
--   last        the last start given out              until, epoch, streak   the last pause: see pause.rs
--   level       calls a second after the last cut     refused_at             the rate that was refused last
--   since       when a call first went through after it      stay            how long the rate stays then
--   room_at     when the vendor's word of the room left was acted on last
--
-- All times are microseconds of Redis' clock; 0 or nothing stands for "never".
local FIELDS = { 'last', 'until', 'epoch', 'streak', 'level', 'refused_at', 'since', 'stay', 'room_at' }
local SOON, STAY, LONGEST_STAY, LEAST = 1000000, 2000000, 10000000, 0.02

local function exact(number) return string.format('%.17g', number) end
local function whole(number) return string.format('%.0f', number) end

local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function read(key)
  local values = redis.call('HMGET', key, unpack(FIELDS))
  local lane = {}
  for place, name in ipairs(FIELDS) do lane[name] = tonumber(values[place]) or 0 end
  return lane
end

local function rate_of(lane, now, full)
  if lane.level <= 0 then return full end
  local rate = lane.level
  if lane.since > 0 then
    local grown = math.max(math.max(now - lane.since, 0) / 1000000 - lane.stay / 1000000, 0)
    rate = lane.level * (1 + 0.015 * grown + 0.03 * grown * grown)
  end
  return math.min(rate, full)
end

local function learn_refusal(lane, now, full, quiet, accepted, wait)
  local rate = rate_of(lane, now, full)
  local alone = lane.level <= 0 or quiet > SOON
  local left = 0.7
  if alone or (accepted and rate >= full * 0.94) then
    left = 0.975
  elseif accepted then
    left = 0.88
  end
  local stay = STAY
  if alone and math.abs(rate - lane.refused_at) <= 0.04 * lane.refused_at then
    stay = math.min(math.max(lane.stay * 1.6, STAY), LONGEST_STAY)
  end
  lane.level = math.max(rate * left, full * LEAST)
  lane.refused_at = rate
  lane.since = 0
  local for_wait = math.min(wait / 1000000 * 1000000 * 10, 60000000)
  local for_little = math.min(200000 / (1 - lane.level / full), 15000000)
  lane.stay = math.max(stay, for_wait, for_little)
end

local function learn_room(lane, now, full, room)
  if lane.room_at > 0 and math.max(now - lane.room_at, 0) < 1000000 then return false end
  local rate = rate_of(lane, now, full)
  if room < 1 and rate < full then
    lane.level, lane.stay = rate, STAY
  elseif room >= full * 0.05 and rate < full then
    lane.level, lane.stay = math.min(rate + room * 0.8, full), 0
  else
    return false
  end
  lane.since, lane.room_at = now, now
  return true
end

-- What was learnt is kept for a quarter of an hour after it was used last: after that a refusal says nothing any more.
local function keep(key, lane, ahead)
  local lasts = (lane.level > 0) and 900000 or 60000
  redis.call('PEXPIRE', key, lasts + math.floor(math.max(ahead, 0) / 1000))
end
