-- Say that somebody goes on waiting for these jobs.
local until_ms = whole(redis_ms() + constants.attended_ms)
for i = 2, #ARGV do call('ZADD', names.attended, 'XX', until_ms, ARGV[i]) end
