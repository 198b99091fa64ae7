# The Edge TPU compiler, which its vendor alone distributes: as a .deb that you have, or from the vendor's apt repository.
FROM scratch AS deb
# --build-context deb=FOLDER puts the .deb here; without it, --build-arg APT_REPOSITORY="URL SUITE COMPONENT" names the repository.

FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS build
ARG SOURCE_DATE_EPOCH DEB DEB_SHA256 APT_REPOSITORY
RUN --mount=type=bind,source=docker/build,target=/build --mount=type=bind,from=deb,target=/deb \
    sh /build/unpack-deb.sh

FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
COPY --from=build /edgetpu /edgetpu
ENV PATH=/edgetpu/usr/bin:$PATH
ARG SOURCE REVISION VERSION IDENTITY
LABEL org.opencontainers.image.title="EdgeMill edgetpu" org.opencontainers.image.source=$SOURCE \
      org.opencontainers.image.revision=$REVISION org.opencontainers.image.version=$VERSION \
      org.edgemill.image=edgetpu org.edgemill.identity=$IDENTITY
USER 65532:65532
