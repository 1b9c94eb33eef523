-- allow-oom
-- Finishes leases, each in one atomic step: attempts, outcomes, counters, removal from the queue.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; then for each lease: token, run, '1' where an earlier sending may have gone through, number of
--          reports, and for each report:
--            seq; F (finish) | R (retry) | S (snooze); F: outcome's letter FS code FS message, R and S: due in ms;
--            attempt as encoded, or ''; packed: its begin, its end, its calls, 429s, 1 where it may have reached the
--            vendor
-- replies  for each lease 0 or LAPSED
-- keeps    nothing is written for a lapsed lease; a lease is finished once: sent again, it is answered 0 where the
--          ledger shows this lease's own attempt or outcome, and nothing is counted twice
-- allow-oom: what was done to a user must be recorded, and a finish frees more than it takes
local replies, woken = {}, false

-- Whether the ledger shows what this report says: an earlier sending of it went through.
local function is_written(run, seq, kind, head, attempt)
  local record = records(run, { seq })[seq]
  if not record then return false end
  local outcome = match(record, '^[^\30]*\30[^\30]*\30(.*)$')
  if attempt ~= '' then
    local tries = call('HGET', run.key .. ':tries', seq)
    return (outcome and find(outcome, attempt, 1, true) ~= nil) or (tries and find(tries, attempt, 1, true) ~= nil)
  end
  return kind == 'F' and outcome ~= nil and outcome:sub(1, #head) == head
end

local at = 2
while at <= #ARGV do
  local token, id, again, n = ARGV[at], ARGV[at + 1], ARGV[at + 2] == '1', tonumber(ARGV[at + 3])
  local first = at + 4
  at = first + 5 * n
  local expires, _, _, _, seqs = held_lease(token)
  local code = 0
  if not expires or expires <= now then
    code = LAPSED
    local run = again and not expires and load_run(id)
    if run then
      for i = first, at - 1, 5 do
        if is_written(run, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) then code = 0 end
      end
    end
  else
    local run, list, tried = load_run(id), {}, {}
    for seq, mark in gmatch(seqs, '(%d+)(%+?)') do
      list[#list + 1] = seq
      tried[seq] = mark == '+'
    end
    drop_lease(token)
    local found, open = records(run, list), {}
    for i = 1, #list do
      open[list[i]] = found[list[i]]
      free_user(found[list[i]])
    end
    add(run, 'leased', -#list)
    for i = first, at - 1, 5 do
      local seq, kind, head, attempt = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
      local record = open[seq]
      if record then
        open[seq] = nil
        local began, ended, calls, throttled, maybe = unpack_struct('<i8i8I4I4B', ARGV[i + 4])
        local tries = tried[seq] and call('HGET', run.key .. ':tries', seq)
        if attempt ~= '' then
          add(run, 'attempts', 1)
          add(run, 'calls', calls)
          stretch(run, began, ended)
        end
        add(run, 'throttled', throttled)
        if kind == 'F' then
          conclude(run, seq, record, head, attempt, ended, tries)
        elseif run.cancelled then
          cancel_job(run, seq, record, attempt, ended, tries)
        else
          if attempt ~= '' then
            note(run, seq, tries, attempt, kind == 'R' and 1 or 0, 0, tostring(maybe), began, ended)
          end
          if kind == 'R' then add(run, 'retries', 1) end
          call('ZADD', run.key .. ':wait', head, seq)
          offer_due(run, head)
          add(run, 'queued', 1)
          if tonumber(head) <= now then woken = true end
        end
      end
    end
    local untouched = {}
    for i = 1, #list do
      local seq = list[i]
      if open[seq] then
        if run.cancelled then
          cancel_job(run, seq, open[seq], '', 0, tried[seq] and call('HGET', run.key .. ':tries', seq))
        else
          untouched[#untouched + 1] = seq
        end
      end
    end
    if #untouched > 0 then
      requeue(run, untouched)
      add(run, 'queued', #untouched)
      woken = true
    end
  end
  replies[#replies + 1] = code
end
save_jobs()
save_runs()
if woken then wake() end
return replies
