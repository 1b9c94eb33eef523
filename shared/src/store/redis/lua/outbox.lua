-- Messages to others: posts them, takes what is due, ends a try, forgets what came to its end long ago.
--
-- KEYS[1]  usher:{_outbox}, a tag that is no account's: its hash has posted (how many there ever were)
-- ARGV     1 now; 2 post: 3.. endpoint, id, kind, account, body of each, at most 500; take: 3 endpoint, 4 worker, 5 limit, at
--          most 500, 6 for how long in ms; finish: 3 endpoint, 4 id, 5 right, 6 what came of it, 7 waiting | delivered |
--          given_up, 8 when it is due again; repost: 3 endpoint, 4 id; sweep: 3 the moment before which they ended
-- replies  post: {0, how many were new}; take: {0, id and right of each...}; finish: {0}, {LAPSED}; repost: {0} where it is tried
--          again, else {1}; sweep: {0, how many}
-- keeps    a message is in the list of its state, by the number of its posting, and in `due` as long as it waits, by when it is
--          tried next; while somebody tries, that is when the right to it lapses. A right is used up once; a finish that is
--          sent again after its reply was lost is answered as the first was
-- bounded  by 500 messages
local what, endpoint = ARGV[2], ARGV[3]
local ends = base .. ':ended'
local function message_key(of, id) return base .. ':message:' .. of .. FS .. id end
local function list_of(state) return base .. ':' .. state .. ':' .. endpoint end

if what == 'post' then
  local new = 0
  for i = 3, #ARGV, 5 do
    endpoint = ARGV[i]
    local id = ARGV[i + 1]
    local key = message_key(endpoint, id)
    if call('EXISTS', key) == 0 then
      local number = call('HINCRBY', base, 'posted', 1)
      call('HSET', key, 'endpoint', endpoint, 'id', id, 'kind', ARGV[i + 2], 'account', ARGV[i + 3], 'body', ARGV[i + 4],
        'posted', format('%d', now), 'number', number, 'state', 'waiting', 'tries', 0, 'due', format('%d', now))
      call('ZADD', list_of('waiting'), number, id)
      call('ZADD', list_of('due'), format('%d', now), id)
      new = new + 1
    end
  end
  return { 0, new }
elseif what == 'take' then
  local reply, ids = { 0 }, call('ZRANGEBYSCORE', list_of('due'), '-inf', now, 'LIMIT', 0, min(tonumber(ARGV[5]), CHUNK))
  local lapses = format('%d', now + tonumber(ARGV[6]))
  for _, id in ipairs(ids) do
    local key = message_key(endpoint, id)
    reply[#reply + 1] = id
    reply[#reply + 1] = call('HINCRBY', key, 'taken', 1)
    call('HSET', key, 'worker', ARGV[4], 'due', lapses)
    call('ZADD', list_of('due'), lapses, id)
  end
  return reply
elseif what == 'finish' then
  local id, right, state = ARGV[4], ARGV[5], ARGV[7]
  local key = message_key(endpoint, id)
  local known = call('HMGET', key, 'taken', 'finished', 'number')
  if known[1] ~= right then return { LAPSED } end
  if known[2] == right then return { 0 } end
  call('HINCRBY', key, 'tries', 1)
  call('HSET', key, 'finished', right, 'tried', format('%d', now), 'last', ARGV[6], 'state', state)
  if state == 'waiting' then
    call('HSET', key, 'due', ARGV[8])
    call('ZADD', list_of('due'), ARGV[8], id)
    return { 0 }
  end
  call('HDEL', key, 'due')
  if state == 'delivered' then call('HSET', key, 'body', '') end
  call('ZREM', list_of('due'), id)
  call('ZREM', list_of('waiting'), id)
  call('ZADD', list_of(state), known[3], id)
  call('ZADD', ends, format('%d', now), endpoint .. FS .. id)
  return { 0 }
elseif what == 'repost' then
  local id = ARGV[4]
  local key = message_key(endpoint, id)
  local known = call('HMGET', key, 'state', 'number')
  if known[1] ~= 'given_up' then return { 1 } end
  call('HSET', key, 'state', 'waiting', 'tries', 0, 'due', format('%d', now))
  call('ZREM', list_of('given_up'), id)
  call('ZREM', ends, endpoint .. FS .. id)
  call('ZADD', list_of('waiting'), known[2], id)
  call('ZADD', list_of('due'), format('%d', now), id)
  return { 0 }
end
local old = call('ZRANGEBYSCORE', ends, '-inf', '(' .. ARGV[3], 'LIMIT', 0, CHUNK)
for _, name in ipairs(old) do
  local id
  endpoint, id = match(name, '^([^\31]*)\31(.*)$')
  call('UNLINK', message_key(endpoint, id))
  call('ZREM', list_of('delivered'), id)
  call('ZREM', list_of('given_up'), id)
  call('ZREM', ends, name)
end
return { 0, #old }
