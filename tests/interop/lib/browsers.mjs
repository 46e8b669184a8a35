// Headless Chromium and Firefox with fake camera and microphone, each in a profile of its own that
// is gone afterwards. The flags keep them from asking anything outside of this machine.

import { mkdtemp, rm } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, firefox } from 'playwright-core';

const CHROMIUM = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium';
const FIREFOX = process.env.FIREFOX_BIN ?? '/usr/bin/firefox-esr';

/** This machine's addresses: what is resolved for media over TCP, too. */
const OWN = Object.values(networkInterfaces()).flat()
  .filter(({ family }) => family === 'IPv4').map(({ address }) => `, EXCLUDE ${address}`);

const CHROMIUM_FLAGS = [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--no-default-browser-check',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--disable-default-apps', '--disable-extensions', '--disable-quic', '--disable-breakpad',
  '--disable-domain-reliability', '--metrics-recording-only', '--no-pings',
  // Whatever has a colon is an IPv6 address.
  `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *:*${OWN.join('')}`,
  '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required', '--mute-audio',
];

const FIREFOX_PREFS = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  'app.update.auto': false,
  'app.normandy.enabled': false,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'media.gmp-manager.updateEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.trr.mode': 5,
  'services.settings.server': 'data:,',
  'toolkit.telemetry.enabled': false,
};

const LAUNCH = {
  chromium: (profile, env) => chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM, chromiumSandbox: false, args: CHROMIUM_FLAGS, env,
    // Of servers that signed theirs themselves.
    ignoreHTTPSErrors: true,
  }),
  // Firefox of Debian speaks BiDi only; what playwright would emulate it does not know.
  firefox: async (profile, env) => {
    const browser = await firefox.launch({
      channel: 'moz-firefox', executablePath: FIREFOX, firefoxUserPrefs: FIREFOX_PREFS, env,
    });
    const context = await browser.newContext({
      colorScheme: null, reducedMotion: null, forcedColors: null, contrast: null,
    });
    return { newPage: () => context.newPage(), close: () => browser.close() };
  },
};

/** One running browser: `newPage()`, `close()`. */
export class Browser {
  #context;
  #home;

  /** @param {'chromium' | 'firefox'} kind */
  static async launch(kind) {
    const browser = new Browser();
    browser.kind = kind;
    browser.#home = await mkdtemp(join(tmpdir(), `corinth-${kind}-`));
    try {
      const env = { ...process.env, HOME: browser.#home };
      browser.#context = await LAUNCH[kind](join(browser.#home, 'profile'), env);
    } catch (error) {
      await browser.#clean();
      throw error;
    }
    return browser;
  }

  newPage() {
    return this.#context.newPage();
  }

  async close() {
    await this.#context.close();
    await this.#clean();
  }

  #clean() {
    return rm(this.#home, { recursive: true, force: true, maxRetries: 5 });
  }
}
