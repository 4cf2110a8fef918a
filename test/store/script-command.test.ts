/** The command that runs a script is written as ioredis writes it. */
import fc from 'fast-check';
import { Command } from 'ioredis';
import { expect, test } from 'vitest';
import { ScriptCommand } from '../../src/store/script-command.ts';

const argument = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.integer(),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
);

test('any text, number and bytes go over the wire as ioredis writes them', () => {
  fc.assert(
    fc.property(fc.array(argument), (args) => {
      const [ours, theirs] = [new ScriptCommand('evalsha', args), new Command('evalsha', args)];
      expect(Buffer.from(ours.toWritable())).toEqual(Buffer.from(theirs.toWritable({})));
    }),
  );
});
