/**
 * Loaded by a test before src/main.ts (`node --import`): to load src/app.ts takes until there is a file of the name in LOADED_ONCE, and that
 * it has begun is printed. Signals meet a process that has only begun to load its code.
 */
import { existsSync, writeSync } from 'node:fs';
import { registerHooks } from 'node:module';

const lookEveryMs = 10;

registerHooks({
  load(url, context, next) {
    if (url.endsWith('/src/app.ts')) {
      writeSync(1, 'loading\n');
      const nothing = new Int32Array(new SharedArrayBuffer(4));
      while (!existsSync(process.env.LOADED_ONCE ?? '')) Atomics.wait(nothing, 0, 0, lookEveryMs);
    }
    return next(url, context);
  },
});
