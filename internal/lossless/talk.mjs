// A talk: a client sends the numbers 1, 2, 3 and so on, gets such numbers, and counts. It runs in Node, pages and workers.

/**
 * Begins a talk. `up` numbers are sent over `length` ms. `from` is what an earlier page has counted, `options` are those
 * of connect. It returns what is counted, which changes as the talk goes on: package lossless has its type, Talk.
 *
 * It is `complete` when all numbers have been sent and acknowledged, and as many have come as `down` says, or when connect
 * has failed: `done` is a promise that settles then. `client` is undefined until it is open. These two are not enumerable.
 */
export function startTalk({ connect, url, up, down, length, from, options = {}, WebSocket = globalThis.WebSocket }) {
  const talk = {
    id: '',
    sent: 0,
    down: { next: 1, lost: 0, doubled: 0 },
    gaps: 0,
    drops: [],
    backs: 0,
    lost: [],
    atOnce: 0,
    failed: '',
    ...from,
    ended: null,
    complete: false,
  }
  let sockets = []
  class Counted extends WebSocket {
    constructor(...args) {
      super(...args)
      sockets = [...sockets.filter((s) => s.readyState < 2), this] // connecting, or open
      talk.atOnce = Math.max(talk.atOnce, sockets.length)
    }
  }

  const { promise: done, resolve } = later()
  const began = Date.now()
  let client

  const send = () => {
    const due = Math.min(up, Math.ceil((up * (Date.now() - began)) / length))
    try {
      for (; talk.sent < due; talk.sent++)
        client.send({ event: 'n', payload: { n: talk.sent + 1, padding: padding() } })
    } catch (error) {
      if (error.name === 'ConnectionClosedError') return clearInterval(ticks)
      if (error.name !== 'SendBufferFullError') throw error // the rest when there is room
    }
    if (talk.sent < up || talk.down.next <= down || client.pending) return
    finish()
  }

  const finish = () => {
    clearInterval(ticks)
    talk.complete = true
    resolve(talk)
  }

  const ticks = setInterval(() => client && send(), 4)
  connect(url, {
    WebSocket: Counted,
    base: 5,
    cap: 100,
    sendBuffer: 1024,
    retryFirst: true, // a fault may come before the first hello
    ...options,
    onMessage({ payload: { n } }) {
      const c = talk.down
      if (n < c.next) {
        c.doubled++
        return
      }
      c.lost += n - c.next
      c.next = n + 1
    },
    onGap: (n) => {
      talk.gaps += n
    },
    onDrop: (error) => {
      talk.drops.push(error.message)
    },
    onRestore: () => {
      talk.backs++
      talk.id = client.id
    },
    onSessionLost: ({ reason }) => {
      talk.lost.push(reason)
    },
    onDisconnect: (error) => {
      talk.ended = error?.message ?? ''
    },
    onPageHide: (client) => options.onPageHide?.(client, talk),
  }).then(
    (c) => {
      client = c
      talk.id = c.id
      Object.defineProperty(talk, 'client', { value: c })
    },
    (error) => {
      talk.failed = error.message
      finish()
    },
  )
  return Object.defineProperty(talk, 'done', { value: done })
}

const padding = () => 'x'.repeat(Math.random() * 300)

function later() {
  let resolve
  const promise = new Promise((r) => {
    resolve = r
  })
  return { promise, resolve }
}
