// Builds dist: one file for each entry, minified, with a source map; and the types. It prints the sizes.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { minify } from 'terser'

process.chdir(dirname(fileURLToPath(import.meta.url)))
mkdirSync('dist', { recursive: true })
for (const old of readdirSync('dist')) rmSync(`dist/${old}`, { recursive: true })

for (const [entry, name] of [
  ['src/index.ts', 'wspulse'],
  ['src/react.ts', 'react'],
]) {
  const bundle = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    external: ['react', '@wspulse/client'],
    sourcemap: 'external',
    outfile: `dist/${name}.js`,
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
  writeFileSync(`dist/${name}.js`, `${small}\n`)
  writeFileSync(`dist/${name}.js.map`, `${smallMap}\n`)
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
    'dist',
    '--rootDir',
    'src',
    '-p',
    'tsconfig.build.json',
  ],
  { stdio: 'inherit' },
)
