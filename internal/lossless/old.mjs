/** Visits a server that does not know wspulse.v1, and returns a Visit (package lossless). */
export async function visitOld({ connect, url, WebSocket = globalThis.WebSocket }) {
  const began = performance.now()
  const refused = await connect(url, { WebSocket }).then(
    () => 'nothing',
    (error) => error.message,
  )
  const after = performance.now() - began

  const journal = []
  const say = (what) => () => journal.push(what)
  const client = await connect(url, {
    WebSocket,
    protocol: false,
    base: 10,
    background: true,
    onDrop: say('drop'),
    onDisconnect: say('end'),
    onRestore(client) {
      journal.push('restore')
      client.send({ event: 'n', payload: 3 })
    },
    async onMessage({ payload }, client) {
      journal.push(`got ${payload}`)
      if (payload === 2) client.send({ event: 'cut' })
      if (payload === 3) client.close()
    },
  })
  journal.push('open')
  client.send({ event: 'n', payload: 1 })
  client.send({ event: 'n', payload: 2 })
  await client.closed
  return { refused, after, journal }
}
