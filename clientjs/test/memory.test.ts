import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { connect } from '../src/index.js'
import { Network } from './fake.js'

// What the garbage collector must not take: real timers, and signals that nobody else holds.

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')
const turn = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms))

test('a request ends by its timeout or its signal, whatever has been collected meanwhile', async () => {
  const net = new Network()
  const connecting = connect('wss://server/', { WebSocket: net.WebSocket })
  await turn()
  net.last.hello()
  const client = await connecting
  const stop = new AbortController()
  const ends: string[] = []
  const ask = (wait: object) => void client.request({ event: 'ask' }, wait).catch(({ name }) => ends.push(name))
  ask({ timeout: 100 })
  ask({ timeout: 60_000, signal: stop.signal })
  ask({ signal: stop.signal })
  for (let i = 0; i < 4; i++) {
    collect()
    await turn(10)
  }
  stop.abort()
  for (let i = 0; i < 100 && ends.length < 3; i++) await turn(10)
  expect(ends.sort()).toEqual(['AbortError', 'AbortError', 'TimeoutError'])
  await client.close()
})
