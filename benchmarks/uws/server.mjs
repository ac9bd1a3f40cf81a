// The server process of the peer uws: uWebSockets in Node. It answers the requests that internal/serve answers, a line of
// JSON each on its standard input, with a line each on its standard output. Times are nanoseconds of CLOCK_MONOTONIC.
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import uws from 'uwebsockets'

const offset = Number(process.hrtime.bigint()) - performance.now() * 1e6
const now = () => Math.round(offset + performance.now() * 1e6)

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc')

const rooms = [] // what the publisher knows of each: name, seq of the next message, acked, sockets
let joined = 0
let received = 0
let app // set by setup
let acknowledged = () => {} // called when progress was reported

// listening turns a call that hands its result to a callback into a promise of it.
const listening = (start) => new Promise(start)

async function setup(cfg) {
  for (let i = 0; i < cfg.Rooms; i++) rooms.push({ name: `r${i}`, seq: 0, acked: 0, sockets: new Set() })
  const byName = new Map(rooms.map((room) => [room.name, room]))
  app = uws.App().ws('/ws', {
    compression: uws.DISABLED,
    idleTimeout: idleTimeout(cfg.Ping / 1e9),
    sendPingsAutomatically: true,
    maxPayloadLength: Math.max(cfg.Size, 512),
    maxBackpressure: cfg.Queue * (cfg.Size + 16), // bytes
    upgrade: (res, req, context) => {
      const room = byName.get(req.getQuery('room'))
      const headers = ['key', 'protocol', 'extensions'].map((name) => req.getHeader(`sec-websocket-${name}`))
      res.upgrade({ room }, ...headers, context)
    },
    open: (ws) => {
      ws.subscribe(ws.room.name)
      ws.room.sockets.add(ws)
      joined++
    },
    message: receiver(cfg),
    close: (ws) => ws.room.sockets.delete(ws),
  })
  const socket = await listening((done) => app.listen('127.0.0.1', 0, done))
  const acks = createServer((conn) => readAcks(conn, cfg.Receive === 'count'))
  await listening((done) => acks.listen(0, '127.0.0.1', done))
  return { Addr: `127.0.0.1:${uws.us_socket_local_port(socket)}`, Acks: `127.0.0.1:${acks.address().port}` }
}

// idleTimeout is the one with which a ping follows so many seconds of silence, in steps of four. Some of it, four
// seconds if it is short and sixteen if it is long, is the wait for the pong.
const idleTimeout = (ping) => (ping < 16 ? Math.max(8, ping + 4) : ping + 16)

// receiver returns what is done with a message.
function receiver({ Receive, Sleep, Spin }) {
  const echo = (ws, message) => ws.send(message, false)
  if (Receive === 'count') return () => received++
  if (Receive !== 'echo') return () => {}
  if (Sleep > 0) {
    return async (ws, message) => {
      const copy = message.slice(0) // the bytes are the library's again after the callback
      await sleep(Sleep / 1e6)
      if (ws.room.sockets.has(ws)) echo(ws, copy)
    }
  }
  if (Spin > 0) {
    return (ws, message) => {
      for (const end = now() + Spin; now() < end; );
      echo(ws, message)
    }
  }
  return echo
}

const ackSize = 8 // bytes: the room and a count, both 32 bits

// readAcks reads how far the rooms have read, and reports how many messages were received if it is asked to.
function readAcks(conn, report) {
  let rest = Buffer.alloc(0)
  conn.on('error', () => {}) // the load generator has ended
  conn.on('data', (chunk) => {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
    let at = 0
    for (; bytes.length - at >= ackSize; at += ackSize) {
      const room = rooms[bytes.readUInt32LE(at)]
      room.acked = Math.max(room.acked, bytes.readUInt32LE(at + 4))
    }
    rest = bytes.subarray(at)
    acknowledged()
  })
  if (!report) return
  let told = 0
  setInterval(() => {
    if (received === told) return
    const count = Buffer.alloc(8)
    count.writeBigUInt64LE(BigInt(received))
    conn.write(count)
    told = received
  }, 1)
}

const digits = (n, width) => String(n).padStart(width, '0')

// speaker returns a function that sends a message with that time to a room, by one call or by one for each socket.
function speaker(room, { Size, Unicast }) {
  const message = Buffer.alloc(Size, '.')
  const stamp = (at) => message.write(`#${digits(room.seq, 8)}${digits(at % 1e16, 16)}`, 'latin1')
  const each = (at) => {
    for (const ws of room.sockets) {
      stamp(at)
      ws.send(message, false)
    }
  }
  const all = (at) => {
    stamp(at)
    app.publish(room.name, message, false)
  }
  const speak = Unicast ? each : all
  return (at) => {
    speak(at)
    room.seq++
  }
}

async function publish(p) {
  if (p.Count > 0) throw new Error('publish: a number of messages is not supported')
  const before = rooms.map((room) => room.seq)
  const speakers = rooms.map((room) => speaker(room, p))
  const start = now()
  await (p.Rate > 0 ? publishPaced(speakers, p) : publishClosed(speakers, p))
  return { Counts: rooms.map((room, i) => room.seq - before[i]), Start: start }
}

// publishPaced broadcasts on a fixed schedule. A message that the one before it delayed carries the time at which it was
// due. After all that is due the sockets, which share the thread, have their turn.
async function publishPaced(speakers, p) {
  const step = 1e9 / p.Rate
  let looked = now()
  const end = looked + p.Duration
  for (let due = looked; due < end; due += step) {
    let at = Math.round(due)
    if (due > looked) {
      await nextTurn()
      looked = now()
    }
    while (due > looked) {
      await sleep((due - looked) / 1e6)
      at = looked = now() // the timer's lateness is not the peer's
    }
    for (const speak of speakers) speak(at)
  }
}

// publishClosed keeps a window of messages of each room unacknowledged.
function publishClosed(speakers, p) {
  const end = now() + p.Duration
  acknowledged = () => {
    rooms.forEach((room, i) => {
      for (let at; room.seq - room.acked < p.Window && (at = now()) < end; ) speakers[i](at)
    })
  }
  acknowledged()
  return sleep(p.Duration / 1e6).then(() => {
    acknowledged = () => {}
  })
}

async function wait({ What, Count }) {
  const counters = { joined: () => joined, received: () => received }
  for (const end = now() + 30e9; counters[What]() < Count; await sleep(1)) {
    if (now() > end) throw new Error(`${What}: ${counters[What]()} of ${Count} after 30 s`)
  }
  return {}
}

async function stats({ Settle }) {
  if (Settle) {
    await sleep(300)
    collectGarbage()
    collectGarbage()
  }
  const { user, system } = process.cpuUsage()
  return { Received: received, RSS: process.memoryUsage.rss(), CPU: (user + system) * 1000 }
}

const operations = { setup, publish, wait, stats }

for await (const line of createInterface({ input: process.stdin })) {
  const { op, args } = JSON.parse(line)
  let reply
  try {
    reply = { result: await operations[op](args) }
  } catch (e) {
    reply = { error: String(e) }
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`)
}
process.exit()
