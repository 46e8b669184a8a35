// Waiting for something to become true, with a deadline and a message that says what was missing.

import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Calls `probe` until it returns something truthy, and returns that.
 *
 * @param {string} what - ends the sentence "gave up waiting until …".
 * @param {() => unknown} probe - may be async; what it throws counts as "not yet".
 * @param {{timeout?: number, every?: number}} [limits] - milliseconds.
 */
export async function until(what, probe, { timeout = 10_000, every = 100 } = {}) {
  const deadline = Date.now() + timeout;
  for (;;) {
    let last;
    try {
      last = await probe();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= deadline) {
      throw new Error(`gave up after ${timeout} ms waiting until ${what}; last: ${show(last)}`);
    }
    await sleep(every);
  }
}

/** `promise`, or an error naming `what` once `timeout` milliseconds have passed. */
export async function within(what, promise, timeout = 5_000) {
  const over = new AbortController();
  const late = sleep(timeout, undefined, { signal: over.signal }).then(
    () => { throw new Error(`no ${what} within ${timeout} ms`); },
    () => {},
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    over.abort();
  }
}

function show(value) {
  return value instanceof Error ? value.message : JSON.stringify(value);
}
