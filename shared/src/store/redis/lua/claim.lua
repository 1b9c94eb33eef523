-- Takes an idempotency key upon a submission that is on its way, or gives it up.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 take | give_up; 3 key; 4 claimant; take: 5 for how long in ms
-- replies  take: {0, run that was sealed under it or ''}, {1} where another has it; give_up: {0}
-- keeps    of all claimants of a key one has it at a time; a claim that has lapsed counts as none, and is gone by itself within
--          a minute after
local claimed = base .. ':claimed:' .. ARGV[3]
local known = call('GET', claimed)
local claimant
if known then
  local ends, name = match(known, '^(%d+) (.*)$')
  if tonumber(ends) > now then claimant = name end
end
if ARGV[2] == 'give_up' then
  if claimant == ARGV[4] then call('UNLINK', claimed) end
  return { 0 }
end
if claimant and claimant ~= ARGV[4] then return { 1 } end
local lasts = tonumber(ARGV[5])
call('SET', claimed, format('%d %s', now + lasts, ARGV[4]), 'PX', format('%d', lasts + 60000))
local stands_for = call('HGET', base .. ':keys', ARGV[3])
return { 0, stands_for and match(stands_for, '^[^\31]*') or '' }
