/** A real Chromium, found on the machine: set-up installs one for the tests where it may. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import type { TestContext } from 'vitest';

const programs = ['chromium', 'chromium-browser', 'google-chrome'];
const macProgram = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';

function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const candidates = folders.flatMap((folder) => programs.map((program) => join(folder, program)));
  return [...candidates, macProgram].find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Without Chromium the test fails in CI; elsewhere it says what is missing and is left out. */
export async function openBrowser(context: TestContext): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined) {
    const missing = 'chromium is missing: npm test installs it where it may';
    if (process.env.CI) throw new Error(missing);
    console.warn(missing);
    return context.skip(missing);
  }
  return chromium.launch({
    executablePath,
    // Without a locale it gives no file a name beyond ASCII.
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
    args: [
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      ...['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
      ...['--disable-component-update', '--disable-sync'],
    ],
  });
}
