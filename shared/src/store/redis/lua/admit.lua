#!lua
-- Numbers a resolved run.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run
-- replies  {0, admission}, the one it has if it was admitted before; {NO_RUN}; {WRONG_PHASE, phase}
-- keeps    admissions rise, one a run; admissions: number -> run
--@ lib_base
--@ lib_runs
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
if run.adm then return { 0, run.adm } end
if run.phase ~= 'r' or run.cancelled then return { WRONG_PHASE, run.phase } end
run.adm = call('HINCRBY', base, 'admission', 1)
run.phase = 'a'
call('HSET', base .. ':admissions', run.adm, run.id)
call('HSET', run.key, 'phase', 'a', 'adm', run.adm)
call('ZADD', base .. ':active', place(run), run.id)
wake()
return { 0, run.adm }
