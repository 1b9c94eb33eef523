-- Puts the next pending jobs of an admitted run into the queue, in file order, each as the newest claim on its user.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 how many jobs, at most 500
-- replies  {0, still pending}; {NO_RUN}; {WRONG_PHASE, phase} before it is admitted and once it is being cancelled;
--          {STOOD_STILL, phase}
-- keeps    cursor is the first place not gone through; a settled request gets its outcome here; a user's claims name
--          every run that wants to change it, but for those that a run that is over outweighs: so when a cancel
--          takes a claim back, the next one below is still known
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
if run.phase ~= 'a' and run.phase ~= 'f' and run.phase ~= 'c' then return { WRONG_PHASE, run.phase } end
if run.phase ~= 'a' then return { 0, 0 } end
if run.cancelled then return { WRONG_PHASE, run.phase } end
if stood_still(run) then return { STOOD_STILL, run.phase } end
local seqs, found, last = next_pending(run, tonumber(ARGV[3]))
local ready, users = {}, {}
-- Those of jobs that are tried again (reopen.lua).
local tries = tries_of(run, seqs)
for i = 1, #seqs do
  local seq = seqs[i]
  local record = found[i]
  local user = user_of(record)
  if user then
    ready[#ready + 1] = seq
    users[#users + 1] = user
  else
    local settled = match(record, '^[^\30]*\30S([^\31]*\31[^\31]*\31[^\31]*)')
    if settled then
      add(run, 'pending', -1)
      conclude(run, seq, record, settled, '', 0, tries[i])
    end
  end
end
if #ready > 0 then
  local claims, news = call('HMGET', base .. ':users', unpack(users)), {}
  local own = {}
  for i = 1, #users do
    news[2 * i - 1] = users[i]
    news[2 * i] = claim_with(own[users[i]] or claims[i], run.adm, ready[i])
    own[users[i]] = news[2 * i]
  end
  call('HSET', base .. ':users', unpack(news))
  call('RPUSH', run.key .. ':ready', unpack(ready))
  add(run, 'pending', -#ready)
  add(run, 'queued', #ready)
  offer(run)
end
add(run, 'cursor', last - run.cursor)
save_jobs()
save_runs()
if #ready > 0 then wake() end
return { 0, run.pending }
