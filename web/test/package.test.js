// What npm would publish: nothing that a module imports may be missing in it.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const read = (name) => readFile(new URL(`../${name}`, import.meta.url), 'utf8');

test('the package holds every module that is imported, and no other', async () => {
  const { exports, files } = JSON.parse(await read('package.json'));
  const found = new Set(Object.values(exports).map((path) => path.replace('./', '')));
  for (const name of found) {
    for (const [, path] of (await read(name)).matchAll(/from '\.\/([^']+)'/g)) found.add(path);
  }
  assert.deepEqual([...found].sort(), [...files].sort());
});

test('the package is what its name imports', async () => {
  const { Room, LocalSource, RemoteSender, FINAL_CLOSE } = await import('corinth-client');
  for (const each of [Room, LocalSource, RemoteSender]) assert.equal(typeof each, 'function');
  assert.equal(FINAL_CLOSE, 4000);
});
