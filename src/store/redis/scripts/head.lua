-- Comes before each script. ARGV[1] is the caller's time in milliseconds; ARGV[2] is what every key begins with, or empty
-- in a cluster, where a script can use only the keys of one slot.
--
-- A value's head, positions counted from 1:
--   1 format | 2 is a session | 3 nonce | 19 generation | 27 used at | 35 expires at | 43 limit | 51 owner | 67 holder | 83 until
local now = tonumber(ARGV[1])
local nobody = string.rep('\0', 16)

local function number(bytes, at)
  return (struct.unpack('>I8', bytes, at))
end

local function packed(n)
  return struct.pack('>I8', n)
end

-- Lua writes large numbers with an exponent.
local function digits(n)
  return string.format('%.0f', n)
end

local function generation(key)
  return tonumber(redis.call('GET', key) or '0') or 0
end

local function head_of(key)
  return redis.call('GETRANGE', key, 0, 89)
end

local function is_whole(head)
  return #head >= 90 and string.byte(head, 1) == 1
end

local function is_live(head, current)
  return number(head, 35) > now and number(head, 19) >= current
end

local function nonce(head)
  return string.sub(head, 3, 18)
end

local function partition(prefix, id)
  local first, second = string.byte(id, 1, 2)
  return prefix .. '{' .. string.format('%03x', first * 4 + math.floor(second / 64)) .. '}:'
end

local function text(id)
  return string.format('%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x', string.byte(id, 1, 16))
end

-- The present epoch of an owner as 8 bytes; empty if there is none.
local function epoch_of(key, current)
  local epoch = redis.call('GET', key) or ''
  if #epoch == 25 and string.byte(epoch, 1) == 1 and number(epoch, 18) > now and number(epoch, 10) >= current then
    return string.sub(epoch, 2, 9)
  end
  return ''
end

-- A letter and a value, with what is known of its owner's epoch between them: not asked, absent, or present and 8 bytes.
local function told(letter, value)
  local owner = string.sub(value, 51, 66)
  if ARGV[2] == '' or owner == nobody then
    return letter .. 'n' .. value
  end
  local keys = partition(ARGV[2], owner)
  local epoch = epoch_of(keys .. text(owner) .. ':epoch', generation(keys .. 'generation'))
  if epoch == '' then
    return letter .. 'a' .. value
  end
  return letter .. 'p' .. epoch .. value
end

-- An answer for which nothing was written. A replica refuses a script at its first write only, and what it holds may be
-- old, or missing while it fetches the primary's data: so it must not answer that a session is gone, nor what is stored. A
-- removal of what is never there changes nothing, and a replica refuses it.
local function unwritten(answer)
  local probe = redis.pcall('UNLINK', KEYS[1] .. ':none')
  if type(probe) == 'table' and probe.err and string.find(probe.err, 'READONLY', 1, true) then
    return probe
  end
  return answer
end

-- The most sessions that an owner's list holds.
local MOST = 10000

-- Puts a session on its owner's list. The list is a help: if this fails, the session is stored all the same.
local function list(key, id, limit)
  if redis.pcall('ZADD', key, 'CH', limit, id) == 0 then
    return
  end
  redis.pcall('ZREMRANGEBYSCORE', key, '-inf', digits(now))
  local count = redis.pcall('ZCARD', key)
  if type(count) == 'number' and count > MOST then
    redis.pcall('ZREMRANGEBYRANK', key, 0, count - MOST - 1)
  end
  local till = redis.pcall('PEXPIRETIME', key)
  if type(till) == 'number' and till < tonumber(limit) then
    redis.pcall('PEXPIREAT', key, limit)
  end
end

-- Takes a session off its owner's list.
local function unlist(head, key)
  local owner = string.sub(head, 51, 66)
  if ARGV[2] ~= '' and owner ~= nobody then
    redis.pcall('ZREM', partition(ARGV[2], owner) .. text(owner) .. ':sessions', string.sub(key, -36))
  end
end

