import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'
import { gzipSync } from 'node:zlib'
import { useWspulse } from '@wspulse/client/react'
import { type BuildOptions, build } from 'esbuild'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { expect, test, vi } from 'vitest'

// What is built: dist is as the sources say, see verify.mjs.

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (name: string) => readFileSync(`${root}/dist/${name}`)
const MOST = 6 * 1024

/** Bundles a program that is in the place of package.json. */
const bundle = (contents: string, more: BuildOptions = {}) =>
  build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    format: 'esm',
    external: ['react'],
    write: false,
    metafile: true,
    logLevel: 'silent',
    ...more,
  })
const text = async (...program: Parameters<typeof bundle>) => (await bundle(...program)).outputFiles![0]!.text.trim()

test('everything is at most 6 KiB', () => {
  for (const name of ['wspulse.js', 'react.js']) {
    const size = gzipSync(read(name), { level: 9 }).length
    console.log(`${name}: ${read(name).length} bytes, ${size} gzipped, of ${MOST}`)
    expect(size).toBeLessThanOrEqual(MOST)
  }
})

test('it depends on nothing, and the hooks on React and the client', async () => {
  for (const [name, wanted] of [
    ['wspulse.js', []],
    ['react.js', ['@wspulse/client', 'react']],
  ] as const) {
    const { metafile } = await bundle(`export * from './dist/${name}'`, { external: ['*client', 'react'] })
    const imports = Object.values(metafile!.outputs).flatMap((output) => output.imports.map(({ path }) => path))
    expect([name, imports.sort()]).toEqual([name, wanted])
  }
})

test('who does not use it does not have it', async () => {
  expect(await text(`import '@wspulse/client'; import '@wspulse/client/react'`)).toBe('')
  expect(
    (await text(`import { ReplyError } from '@wspulse/client'; throw new ReplyError('', '')`)).length,
  ).toBeLessThan(2000)
})

test('importing it does nothing', async () => {
  // Without the package's word that there are no side effects, what a bundler leaves are those that it can't exclude.
  const left = await text(`import './dist/wspulse.js'`, { ignoreAnnotations: true, minify: true })
  expect(left).toMatch(/^(var .*;?\n?)*$/)
  expect(left).not.toMatch(/\(/) // nothing is called
  expect(left.match(/\bnew \w+/g)).toEqual(['new TextEncoder'])
})

/** Runs the client where there is what the language has, and what is named here. It returns the context. */
async function bare() {
  const used = new Set<string>()
  const there = { AbortController, AbortSignal, TextDecoder, TextEncoder, URL, btoa, clearTimeout, console, setTimeout }
  const context = vm.createContext({})
  for (const [name, value] of Object.entries(there))
    Object.defineProperty(context, name, { get: () => used.add(name) && value, configurable: true })
  const client = await text(`export * from './dist/wspulse.js'`, { format: 'iife', globalName: 'wspulse' })
  vm.runInContext(client, context)
  return { context, used, names: Object.keys(there) }
}

test('importing it needs a TextEncoder, and leaves nothing', async () => {
  const { context, used, names } = await bare()
  expect([...used]).toEqual(['TextEncoder'])
  expect(Object.getOwnPropertyNames(context).toSorted()).toEqual([...names, 'wspulse'].toSorted())
})

test('it runs where there is no window, no document and no Buffer', async () => {
  const { context } = await bare()
  const told: string[] = await vm.runInContext(
    `(async () => {
      const told = []
      class Socket {
        protocol = 'wspulse.v1'
        bufferedAmount = 0
        constructor(url, [, claim]) {
          const [resumed, at] = [!!claim, claim ? 2 : 0]
          const limits = { window: 30000, heartbeat: 30000, maxBytes: 1000, inflight: 256 }
          const hello = { t: 'hello', id: 'ä', token: 'secret', resumed, recv: at, at, ...limits }
          told.push(url, claim)
          setTimeout(() => {
            this.onopen({})
            this.onmessage({ data: new TextEncoder().encode(JSON.stringify(hello)).buffer })
          })
        }
        send(data) {
          if (typeof data !== 'string') return told.push(JSON.parse(new TextDecoder().decode(data)).t)
          const { id } = JSON.parse(data)
          this.onmessage({ data: JSON.stringify(id ? { id, event: 'ack' } : { event: 'echo' }) })
        }
        close(code = 1000) {
          setTimeout(() => this.onclose({ code, reason: '' }))
        }
      }
      const client = await wspulse.connect('ws://127.0.0.1/ws', { WebSocket: Socket })
      client.send({ event: 'say', payload: 'hello' })
      for await (const { event } of client) {
        told.push(event)
        break
      }
      told.push((await client.request({ event: 'ask' }, { timeout: 1000 })).event)
      const session = client.exportSession()
      await client.closed
      const again = await wspulse.connect(() => 'ws://127.0.0.1/again', { WebSocket: Socket, session })
      await again.close()
      told.push(await again.closed)
      return told
    })()`,
    context,
  )
  const first = ['ws://127.0.0.1/ws', undefined, 'ack', 'echo', 'ack']
  const again = ['ws://127.0.0.1/again', 'wspulse.v1.resume.w6Q.2.secret', 'ack', 'bye', undefined]
  expect([...told]).toEqual([...first, ...again])
})

const Page = ({ url }: { url: string | null }) => createElement('p', {}, useWspulse(url).state)

test('a server renders the hooks without a WebSocket', () => {
  vi.stubGlobal('WebSocket', undefined)
  const render = (url: string | null) => renderToString(createElement(Page, { url }))
  expect([render('/ws'), render(null)]).toEqual(['<p>connecting</p>', '<p>closed</p>'])
  vi.unstubAllGlobals()
})
