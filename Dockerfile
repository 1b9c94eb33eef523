# A small image of the `usher` command: built in one stage, run in another.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The list of dependencies goes into the binary: a scanner of the image reads it there.
RUN cargo install --locked cargo-auditable@0.7.7 && cargo auditable build --release --locked --bin usher

FROM debian:bookworm-slim
# The vendors' certificates are checked against the system's roots.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
 && useradd --system --create-home --home-dir /var/lib/usher usher
COPY --from=build /src/target/release/usher /usr/local/bin/usher
USER usher
WORKDIR /var/lib/usher
ENTRYPOINT ["usher"]
