import { parseListenAddress } from "#kits/otelcol/listen";
import { openUdpSocket, type UdpSocket } from "#kits/udp-socket";

const BUFFER_BYTES = 1024 * 1024;

/** Opens a UDP socket. Rejects with an error that says why not and what to do. */
export async function openSocket(
  address: string,
  onDatagram: (bytes: Uint8Array, from: string) => void,
  onError: (error: Error) => void,
): Promise<UdpSocket> {
  const parsed = parseListenAddress(address) as { readonly host: string; readonly port: number };
  return openUdpSocket({
    address: parsed,
    argument: "listen_address",
    bufferBytes: BUFFER_BYTES,
    onDatagram,
    onError,
  });
}
