//! A peer that speaks TLS, as `work_queue_worker --ssl` does: whatever certificate it is shown, it goes on.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};

/// A connection inside TLS.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Takes every certificate; the signature must still be made with its key.
#[derive(Debug)]
struct Anybody(CryptoProvider);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A session that has said nothing yet, for one of these versions.
pub(crate) fn session(versions: &[&'static SupportedProtocolVersion]) -> ClientConnection {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions that the library has")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(ring::default_provider())))
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    ClientConnection::new(Arc::new(config), name).expect("a session")
}

/// Begins TLS on a connection; the handshake goes on with the first write or read.
pub(crate) fn begin(stream: TcpStream) -> TlsStream {
    // The end of the handshake and the first words are two writes, and the second must not wait for the first.
    stream.set_nodelay(true).expect("a socket of TCP");
    StreamOwned::new(session(rustls::ALL_VERSIONS), stream)
}
