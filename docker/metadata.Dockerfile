# TensorFlow Lite's metadata, written into a model for other programs.
FROM scratch AS wheels
# --build-context wheels=FOLDER puts wheels here; without it they come from the package index.

FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS build
ARG SOURCE_DATE_EPOCH
RUN --mount=type=bind,source=docker,target=/docker --mount=type=bind,from=wheels,target=/wheels \
    sh /docker/build/install.sh metadata

FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH
ARG SOURCE REVISION VERSION IDENTITY
LABEL org.opencontainers.image.title="EdgeMill metadata" org.opencontainers.image.source=$SOURCE \
      org.opencontainers.image.revision=$REVISION org.opencontainers.image.version=$VERSION \
      org.edgemill.image=metadata org.edgemill.identity=$IDENTITY
USER 65532:65532
