// Builds dist: one file for each entry, minified, with a source map; and the types. It prints the sizes. Another folder
// may be named in its place, and is not emptied: node build.mjs FOLDER.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { minify } from 'terser'

const out = process.argv[2] ? resolve(process.argv[2]) : 'dist'
process.chdir(dirname(fileURLToPath(import.meta.url)))
mkdirSync(out, { recursive: true })
if (out === 'dist') for (const old of readdirSync(out)) rmSync(`${out}/${old}`, { recursive: true })

for (const [entry, name] of [
  ['src/index.ts', 'wspulse'],
  ['src/react.ts', 'react'],
]) {
  const bundle = await build({
    absWorkingDir: process.cwd(),
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    external: ['react', '@wspulse/client'],
    sourcemap: 'external',
    outfile: `dist/${name}.js`, // for the paths in the map
    tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
    write: false,
    legalComments: 'none',
  })
  const [map, code] = bundle.outputFiles
  const { code: small, map: smallMap } = await minify(code.text, {
    module: true,
    ecma: 2022,
    compress: { passes: 3, unsafe_arrows: true, keep_fargs: false, pure_getters: true },
    sourceMap: { content: map.text, url: `${name}.js.map`, includeSources: true },
  })
  writeFileSync(`${out}/${name}.js`, `${small}\n`)
  writeFileSync(`${out}/${name}.js.map`, `${smallMap}\n`)
  const size = gzipSync(small, { level: 9 }).length
  console.log(`dist/${name}.js: ${small.length} bytes, ${size} gzipped (${(size / 1024).toFixed(2)} KiB)`)
}
execFileSync(
  'npx',
  [
    'tsc',
    '--noEmit',
    'false',
    '--declaration',
    '--emitDeclarationOnly',
    '--outDir',
    out,
    '--rootDir',
    'src',
    '-p',
    'tsconfig.build.json',
  ],
  { stdio: 'inherit' },
)
