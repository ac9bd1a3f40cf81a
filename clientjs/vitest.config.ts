import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

// Tests see the sources under the names that programs use. Those of the hooks run with two versions of React.
export default defineConfig({
  resolve: {
    alias: [
      { find: /^@wspulse\/client$/, replacement: path('src/index.ts') },
      { find: /^@wspulse\/client\/react$/, replacement: path('src/react.ts') },
    ],
  },
  test: {
    projects: [
      { extends: true, test: { name: 'client', include: ['test/*.test.{ts,tsx}'] } },
      {
        extends: true,
        resolve: { alias: [{ find: /^(react|react-dom)(?=\/|$)/, replacement: path('test/react18/node_modules/$1') }] },
        test: { name: 'react18', include: ['test/react.test.tsx'] },
      },
    ],
  },
})
