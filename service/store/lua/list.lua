-- Jobs of an index, the latest first, below a place and of a status if one is given: {id, fields}.
local index, status, limit, below = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local found = {}
repeat
  local page = redis.call('ZREVRANGEBYSCORE', index, below, '-inf', 'WITHSCORES', 'LIMIT', 0, 100)
  for i = 1, #page, 2 do
    below = '(' .. page[i + 1]
    local job = standing(page[i])
    if not job.status then
      redis.call('ZREM', index, page[i])
    elseif (status == '' or job.status == status) and #found < limit then
      found[#found + 1] = {page[i], redis.call('HGETALL', names.job .. page[i])}
    end
  end
until #page == 0 or #found == limit
return found
