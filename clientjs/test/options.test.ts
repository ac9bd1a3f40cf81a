import { expect, test, vi } from 'vitest'
import { connect, type Options } from '../src/index.js'
import { newWorld, pass } from './world.js'

const world = newWorld()

test('an option that is undefined has its default', async () => {
  const names = ['protocol', 'retries', 'base', 'cap', 'jitter', 'sendBuffer', 'replyEvents', 'codec', 'protocols']
  const a = await world.connect({ ...Object.fromEntries(names.map((name) => [name, undefined])), handlers: undefined })
  for (let i = 0; i < 256; i++) a.client.send({ event: 'c' })
  expect(world.socket.said()).toMatch(/^c( c)*$/)
  await world.redial()
  world.socket.hello({ resumed: true, recv: 256 })
  await pass()
  const reply = a.client.request({ id: '1', event: 'ask' })
  world.socket.data({ id: '1', event: 'ack' })
  await expect(reply).resolves.toEqual({ id: '1', event: 'ack' })
  expect(a.heard()).toBe('drop restore')
})

const bad: [keyof Options, unknown, string][] = [
  ['retries', -1, '[0, Infinity]'],
  ['base', 0, '[1, 3600000]'],
  ['base', Number.NaN, '[1, 3600000]'],
  ['cap', 3_600_001, '[1, 3600000]'],
  ['jitter', 1.5, '[0, 1]'],
  ['jitter', 'much', '[0, 1]'],
  ['sendBuffer', 0, '[1, 1048576]'],
  ['heartbeat', 0, '[1, 3600000]'],
]

for (const [name, value, bounds] of bad)
  test(`${name}: ${value} is refused, by its name and bounds`, async () => {
    const connecting = connect('wss://server/', { WebSocket: world.net.WebSocket, [name]: value })
    await expect(connecting).rejects.toThrow(new RangeError(`wspulse: ${name}: ${value} is not in ${bounds}`))
    expect(world.dials).toBe(0)
  })

test('without a WebSocket the error says which option to set', async () => {
  vi.stubGlobal('WebSocket', undefined)
  await expect(connect('wss://server/')).rejects.toThrow(
    new TypeError('wspulse: no WebSocket here: set the option WebSocket'),
  )
})
