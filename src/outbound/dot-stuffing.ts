/** The data of one transaction (RFC 5321 section 4.5.2): the message with each dot at the start of a line doubled, and the final dot. */

const lf = 0x0a;
const dot = 0x2e;
const lineThenDot = Buffer.from('\r\n.');
const oneDot = Buffer.from('.');

/** @param message each line but perhaps the last ends with CRLF: a lone CR or LF could end the data early for some servers */
export function dotStuffed(message: Buffer): Buffer {
  const end = Buffer.from(message.at(-1) === lf ? '.\r\n' : '\r\n.\r\n');
  const pieces: Buffer[] = message[0] === dot ? [oneDot] : [];
  let from = 0;
  for (let at = message.indexOf(lineThenDot); at >= 0; at = message.indexOf(lineThenDot, from)) {
    // Up to the dot, and a second dot; the next piece begins with the dot itself.
    pieces.push(message.subarray(from, at + 2), oneDot);
    from = at + 2;
  }
  // A search from the doubled dot finds the next line, not this dot again.
  return Buffer.concat([...pieces, message.subarray(from), end]);
}
