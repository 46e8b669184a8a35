// Starts the server program on ports of its own and ends it again, by its pid.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { within } from './expect.mjs';

export const BINARY = process.env.CORINTH_BIN
  ?? fileURLToPath(new URL('../../../target/debug/corinth', import.meta.url));
const OPEN_LINE = /^corinth: open (https?:\/\/\S+?)\/?\s*$/m;
const START_MS = 20_000;
const STOP_MS = 5_000;
const OUTPUT_KEPT = 64 * 1024;

/** One running server program. */
export class Server {
  #process;
  #output = '';

  /**
   * Starts the program with two shards, so that rooms and connections land on different ones; on
   * free ports, unless `--http` and `--media-port` are among the options.
   */
  static async start(...more) {
    if (!existsSync(BINARY)) throw new Error(`no server at ${BINARY}: cargo build, or CORINTH_BIN`);
    const usual = {
      // A test that is over does not wait for its rooms.
      '--http': '127.0.0.1:0', '--media-port': '0', '--shards': '2', '--drain-time': '0',
    };
    const unsaid = Object.entries(usual).filter(([option]) => !more.includes(option));
    const args = [...unsaid.flat(), ...more];
    const server = new Server(spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
    try {
      server.url = await within('line "corinth: open …"', server.#opened(), START_MS);
    } catch (error) {
      server.#process.kill('SIGKILL');
      throw new Error(`${error.message}; the server said:\n${server.output}`);
    }
    return server;
  }

  constructor(process) {
    this.#process = process;
    for (const stream of [process.stdout, process.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.#output = (this.#output + text).slice(-OUTPUT_KEPT);
      });
    }
  }

  /** The last of what the program printed. */
  get output() {
    return this.#output;
  }

  get pid() {
    return this.#process.pid;
  }

  /** Where a client of protoo connects: `query` is what stands behind the question mark. */
  socketUrl(query) {
    return `${this.url.replace(/^http/, 'ws')}/ws?${new URLSearchParams(query)}`;
  }

  /** Ends the program as an operator does; it has five seconds and must end well. */
  async stop() {
    const child = this.#process;
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await within('exit after SIGTERM', gone, STOP_MS).catch((error) => {
        child.kill('SIGKILL');
        throw new Error(`${error.message}; the server said:\n${this.output}`);
      });
    }
    if (child.exitCode !== 0) {
      throw new Error(
        `the server ended with ${child.exitCode ?? child.signalCode}, saying:\n${this.output}`);
    }
    if (/panicked at/.test(this.output)) throw new Error(`a shard panicked:\n${this.output}`);
  }

  async #opened() {
    const failed = once(this.#process, 'exit').then(([code]) => {
      throw new Error(`the server ended at once (${code})`);
    });
    const opened = new Promise((resolve) => {
      this.#process.stdout.on('data', () => {
        const line = OPEN_LINE.exec(this.#output);
        if (line) resolve(line[1]);
      });
    });
    return Promise.race([opened, failed]);
  }
}
