# The operator's image: one static program, no shell, not root.
#   docker build -t sower --build-arg RUNTIME=<where you have distroless>/static-debian12:nonroot .
ARG RUNTIME=distroless/static-debian12:nonroot
FROM rust:1.95-alpine AS build
RUN apk add --no-cache musl-dev cmake make perl pkgconf linux-headers
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package sower && cp target/release/sower /sower

FROM ${RUNTIME}
COPY --from=build /sower /usr/local/bin/sower
USER 65532:65532
ENV SOWER_TARGET=cluster
EXPOSE 8400
ENTRYPOINT ["/usr/local/bin/sower"]
CMD ["run"]
