/** A server that takes so many connections at once, and greets each beyond them with a refusal, as Postfix and Exim do. */
import { openScriptedSmtp, type Script, type ScriptedSmtp } from './scripted-smtp.ts';

export const tooMany = '421 4.7.0 mx.example.org Error: too many connections from 127.0.0.1';

/** @param granted asked for each connection @param act the rest of what it does */
export async function openCrowdedSmtp(granted: () => number, act: Script = () => undefined): Promise<ScriptedSmtp> {
  /** Connections by number, until they say goodbye. */
  const taken = new Set<number>();
  const server: ScriptedSmtp = await openScriptedSmtp((stage, line, connection) => {
    if (stage === 'QUIT') taken.delete(connection);
    if (stage !== 'connect') return act(stage, line, connection);
    if (server.open === 1) taken.clear();
    if (taken.size >= granted()) return tooMany;
    taken.add(connection);
    return undefined;
  });
  return server;
}
