-- Prepended to each script. ARGV[1] is the caller's time in milliseconds. ARGV[2] is the prefix of every key, or empty
-- in a cluster, where a script can use only the keys of one slot.
--
-- A value's head, positions counted from 1:
--   1 format | 2 is session | 3 nonce | 19 generation | 27 used at | 35 expires at | 43 limit | 51 owner | 67 holder | 83 until
--
-- All of this runs at each call, and creating a function costs as much as running a few lines. So code for rare cases
-- is inside the function that needs it. Numbers for commands are passed as strings, which needn't be formatted. A value
-- is never concatenated with another string, which would copy and hash it again.
local now = tonumber(ARGV[1])

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
  return redis.call('GETRANGE', key, '0', '89')
end

local function is_whole(head)
  return #head >= 90 and string.byte(head, 1) == 1
end

local function is_live(head, current)
  local stamp, _, expires = struct.unpack('>I8I8I8', head, 19)
  return expires > now and stamp >= current
end

local function nonce(head)
  return string.sub(head, 3, 18)
end

-- An owner's current epoch as 8 bytes; empty if there is none.
local function epoch_of(key, current)
  local epoch = redis.call('GET', key) or ''
  if #epoch == 25 and string.byte(epoch, 1) == 1 and number(epoch, 18) > now and number(epoch, 10) >= current then
    return string.sub(epoch, 2, 9)
  end
  return ''
end

-- The prefix of an owner's keys, and the key of their generation. Nil if there is no owner, or if the owner's keys may
-- be on another server.
local function keys_of_owner(head)
  local first, second = string.byte(head, 51, 52)
  if ARGV[2] == '' or string.sub(head, 51, 66) == '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' then
    return nil
  end
  local partition = ARGV[2] .. '{' .. string.format('%03x', first * 4 + math.floor(second / 64)) .. '}:'
  local form = '%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x'
  return partition .. string.format(form, string.byte(head, 51, 66)), partition .. 'generation'
end

-- A reply with a value: the letter, then what is known of the owner's epoch: not read (n), absent (a), or present (p)
-- and its 8 bytes.
local function told(letter, value)
  local owner, generation_key = keys_of_owner(value)
  if not owner then
    return { letter .. 'n', value }
  end
  local epoch = epoch_of(owner .. ':epoch', generation(generation_key))
  if epoch == '' then
    return { letter .. 'a', value }
  end
  return { letter .. 'p' .. epoch, value }
end

-- A reply after which nothing was written. A replica refuses a script only at its first write. But its data may be old,
-- or missing while it copies the primary's, so it must report neither that a session is gone nor what is stored.
-- Removing a key that never exists changes nothing, and a replica refuses it.
local function unwritten(answer)
  local probe = redis.pcall('UNLINK', KEYS[1] .. ':none')
  if type(probe) == 'table' and probe.err and string.find(probe.err, 'READONLY', 1, true) then
    return probe
  end
  return answer
end

-- Shortens an owner's list to which a session was added.
local function trim(key, limit)
  -- The maximum number of sessions on a list.
  local most = 10000
  redis.pcall('ZREMRANGEBYSCORE', key, '-inf', digits(now))
  local count = redis.pcall('ZCARD', key)
  if type(count) == 'number' and count > most then
    redis.pcall('ZREMRANGEBYRANK', key, 0, count - most - 1)
  end
  local till = redis.pcall('PEXPIRETIME', key)
  if type(till) == 'number' and till < tonumber(limit) then
    redis.pcall('PEXPIREAT', key, limit)
  end
end

-- Puts a session on its owner's list. If this fails, the session is stored all the same, since revocation doesn't need
-- the list.
local function list(key, session, limit)
  if redis.pcall('ZADD', key, 'CH', limit, string.sub(session, -36)) ~= 0 then
    trim(key, limit)
  end
end

-- Removes a session from its owner's list.
local function unlist(head, key)
  local owner = keys_of_owner(head)
  if owner then
    redis.pcall('ZREM', owner .. ':sessions', string.sub(key, -36))
  end
end

