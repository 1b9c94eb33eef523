-- allow-oom
-- The access token that a fleet shares: shows it, grants the right to fetch its successor, shelves that.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 show | claim | shelve | abandon; claim: 3 worker, 4 generation to be replaced or '', 5 ttl in ms;
--          shelve: 3 claim, 4 the sealed token, 5 ms to keep it for; abandon: 3 claim
-- replies  show: {0} or {1, generation, sealed}; claim: {0, claim}, {1, generation, sealed} where there is another than
--          is to be replaced, {2, ms at which the claim under way ends}; shelve: {0, generation}, {LAPSED} where a
--          later claim was granted; abandon: {0}
-- keeps    one claim in force at a time; generations and claims only grow, also after the token is gone; a shelve that is
--          sent again after its reply was lost is answered as the first was
-- allow-oom: where a new token kills the one before, what was fetched must reach the fleet
local key = base .. ':refresh'
local sealed_key = base .. ':token'
local state = call('HMGET', key, 'generation', 'token_until', 'claim', 'claim_until', 'shelved')
local generation, token_until = tonumber(state[1]) or 0, tonumber(state[2]) or 0
local claim, claim_until, shelved = state[3], tonumber(state[4]) or 0, state[5]
local what = ARGV[2]

local function token_there_is()
  return token_until > now and call('GET', sealed_key) or nil
end

if what == 'show' then
  local sealed = token_there_is()
  if sealed then return { 1, generation, sealed } end
  return { 0 }
elseif what == 'claim' then
  local sealed = token_there_is()
  if sealed and tonumber(ARGV[4]) ~= generation then return { 1, generation, sealed } end
  if claim_until > now then return { 2, claim_until } end
  claim = call('HINCRBY', key, 'claim', 1)
  call('HSET', key, 'claimed_by', ARGV[3], 'claim_until', now + tonumber(ARGV[5]))
  return { 0, claim }
elseif what == 'shelve' then
  if shelved == ARGV[3] then return { 0, generation } end
  if claim ~= ARGV[3] then return { LAPSED } end
  local lasts = tonumber(ARGV[5])
  generation = generation + 1
  call('HSET', key, 'generation', generation, 'token_until', now + lasts, 'shelved', claim, 'claim_until', 0)
  -- What counts is token_until; the key itself goes within a minute after.
  call('SET', sealed_key, ARGV[4], 'PX', format('%d', lasts + 60000))
  return { 0, generation }
end
if claim == ARGV[3] then call('HSET', key, 'claim_until', 0) end
return { 0 }
