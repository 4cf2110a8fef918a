/** Buffers of Node.js are cut out of pools, and a large pool is kept as long as the smallest of them. */
import { expect, it } from 'vitest';
import { main } from '../support/postrider.ts';
import { startProcess } from '../support/processes.ts';

it('a letter has memory of its own', async () => {
  const tell = 'data:text/javascript,process.on("exit", () => console.log("pooled: " + Buffer.poolSize / 2))';
  await using postrider = startProcess(process.execPath, ['--import', tell, main], { env: { PORT: 'none' } });
  const [, most] = await postrider.printed(/pooled: (\d+)/);
  expect(Number(most)).toBeLessThan(5_000);
});
