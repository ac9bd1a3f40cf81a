// Fails unless dist, which is committed, is what the sources build to, byte for byte.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = join(dirname(fileURLToPath(import.meta.url)), 'dist')
const built = mkdtempSync(join(tmpdir(), 'wspulse-'))
try {
  execFileSync(process.execPath, [join(dist, '../build.mjs'), built], { stdio: 'inherit' })
  const read = (folder) => new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]))
  const [is, be] = [read(dist), read(built)]
  const names = [...new Set([...is.keys(), ...be.keys()])]
  const wrong = names.filter((name) => !is.get(name)?.equals(be.get(name) ?? Buffer.of()) || !be.has(name))
  if (wrong.length) {
    console.error(`clientjs/dist is not what the sources build to: ${wrong.join(', ')}\nnpm run build, and commit it`)
    process.exitCode = 1
  } else console.log(`dist: ${names.length} files as they are built`)
} finally {
  rmSync(built, { recursive: true })
}
