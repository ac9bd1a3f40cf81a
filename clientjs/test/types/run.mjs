// Packs the package as npm would, installs it in a folder of its own, and has programs that import it compiled there,
// strictly, for each way to resolve modules. Each @ts-expect-error in them is an error that has to be there.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = resolve(here, '../..')
const folder = mkdtempSync(join(tmpdir(), 'wspulse-types-'))
const run = (program, args, cwd = folder) => execFileSync(program, args, { cwd, encoding: 'utf8' })
const json = (name, value) => writeFileSync(join(folder, name), JSON.stringify(value))
const equal = (what, got, want) => {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`${what}: ${got}\nwanted: ${want}`)
}

/** What is not of the package, but of its users. */
const THEIRS = ['react', 'undici', 'ws', '@types/react', '@types/node', '@types/ws']

const strict = {
  target: 'es2022',
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  verbatimModuleSyntax: true,
  isolatedModules: true,
  skipLibCheck: false,
  jsx: 'react-jsx',
  noEmit: true,
}
const page = { lib: ['es2023', 'dom'], types: [] }
const programs = [
  ['bundler', 'esnext', page, ['client.ts', 'react.tsx']],
  ['node16', 'node16', page, ['client.ts', 'react.tsx']],
  ['nodenext', 'nodenext', page, ['client.ts', 'react.tsx']],
  ['nodenext', 'nodenext', { lib: ['es2023'], types: ['node'] }, ['node.ts']],
]

try {
  const [{ filename, files }] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', folder], root))
  const others = files.map((f) => f.path).filter((path) => !/^dist\/[a-z]+(\.d\.ts|\.js|\.js\.map)$/.test(path))
  equal('files', others.sort(), ['LICENSE', 'README.md', 'package.json'])
  equal('license', readFileSync(join(root, 'LICENSE'), 'utf8'), readFileSync(join(root, '../LICENSE'), 'utf8'))

  json('package.json', { name: 'program', private: true, type: 'module' })
  run('npm', ['install', '--offline', '--no-audit', '--no-fund', join(folder, filename)])
  const modules = run('npm', ['ls', '--all', '--parseable']).trim().split('\n')
  equal('what is installed', modules.slice(1), [join(folder, 'node_modules/@wspulse/client')]) // nothing comes along
  mkdirSync(join(folder, 'node_modules/@types'))
  for (const name of THEIRS) symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name))

  for (const [moduleResolution, module, more, names] of programs) {
    for (const name of names) copyFileSync(join(here, name), join(folder, name))
    json('tsconfig.json', { compilerOptions: { ...strict, ...more, module, moduleResolution }, files: names })
    const compiler = process.env.TSC ?? join(root, 'node_modules/.bin/tsc')
    execFileSync(compiler, ['-p', folder], { stdio: 'inherit' })
    console.log(`types: ${moduleResolution}: ${names.join(', ')}`)
  }

  writeFileSync(
    join(folder, 'program.mjs'),
    `import * as client from '@wspulse/client'
    import * as react from '@wspulse/client/react'
    console.log(JSON.stringify([Object.keys(client), Object.keys(react)]))`,
  )
  const errors = ['ConnectionClosedError', 'RefusedError', 'ReplyError', 'SendBufferFullError', 'SessionLostError']
  const names = [
    [...errors, 'connect', 'jsonCodec'],
    ['useEvent', 'useWspulse'],
  ]
  equal('exports', JSON.parse(run(process.execPath, ['program.mjs'])), names)
  console.log('exports: as they should be, in Node')
} catch (error) {
  console.error(error.stdout || error.message)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true })
}
