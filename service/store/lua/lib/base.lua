-- Functions for all scripts. `names.x` stands for a name of keys.py, `constants.x` for one of
-- scripts.py. The first argument of every script is the time. Times are in seconds since the epoch,
-- or in milliseconds if their name ends in _ms.
local now = tonumber(ARGV[1])
-- What was found that cannot be read: {what, where, why}. Every script returns it beside its reply.
local damage = {}

local function tell(what, where, why)
  damage[#damage + 1] = {what, where, why}
end

-- Without memory, Redis refuses a script whose first write takes some. A script that only moves
-- jobs, or frees their memory in the end, therefore begins with a write that takes none.
local function regardless_of_memory()
  redis.call('DEL', names.nothing)
end

-- Have the next sweep make everything again that follows from the hashes of jobs.
local function want_mending()
  redis.pcall('SET', names.mend, 1)
end

local function set_aside(key, why)
  tell('key', key, why)
  redis.call('RENAME', key, names.damaged .. key)
  redis.call('PEXPIRE', names.damaged .. key, constants.damaged_ms)
  want_mending()
end

-- A command whose key may hold anything at all. What it cannot work on is put aside, and it is run
-- again; errors of other causes are raised.
local function call(command, ...)
  local reply = redis.pcall(command, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  local err, arguments = reply.err, {...}
  local key = arguments[(command == 'XGROUP' or command == 'XINFO') and 2 or 1]
  local overflow = err:find('overflow', 1, true)
  if err:find('hash value is not an integer', 1, true) or command == 'HINCRBY' and overflow then
    tell('field', key .. ' ' .. arguments[2], err)
    redis.call('HDEL', key, arguments[2])
  elseif err:find('WRONGTYPE', 1, true) or err:find('not an integer', 1, true) or overflow then
    set_aside(key, err)
  else
    error(err, 0)
  end
  return redis.call(command, ...)
end

-- A finite number, or what stands in the place of everything else.
local function number(text, otherwise)
  local value = tonumber(text)
  if not value or value ~= value or value == math.huge or value == -math.huge then
    return otherwise
  end
  return value
end

local function redis_ms()
  local time = redis.call('TIME')
  return 1000 * time[1] + math.floor(time[2] / 1000)
end

local function whole(value)
  return string.format('%.0f', value)
end

-- A time as the score of a sorted set: small sets are searched faster where scores are whole.
local function second(time)
  return math.floor(time)
end
